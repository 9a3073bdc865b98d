"""The self-test: the hub's main job, from a camera's push to an officer's outcome, timed hop by hop."""
