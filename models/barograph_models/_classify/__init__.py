"""What all classifiers share: labels and what may be known of them, the window that is scored, judging, calibration."""
