UPDATE stimuli SET seen = NULL;
