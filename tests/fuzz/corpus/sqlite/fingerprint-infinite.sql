UPDATE fingerprints SET topics = '{"event": [Infinity, "x"]}';
