"""What main.py stands on: one module per thing (the graph files, the KITTI folder, the scores ...)."""
