"""What a learner can read says nothing of the faults."""
