UPDATE stimuli SET commanded = 'soon';
