"""Where a dataset's pictures, classes and splits come from: archives, and folders of pictures."""
