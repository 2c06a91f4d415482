"""How do we touch the box? The edge: ports, chip driver, acquisition, stimulus sequencer, link server."""
