"""What runs in the processes that are measured: each module's `main` prints one line of JSON, or one for each task."""
