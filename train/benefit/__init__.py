"""What a gaze tracker does with a picture of eyes: shared by the benchmark of the benefit and the gate."""
