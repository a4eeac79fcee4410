"""Documents of a folder, read into papers and cut into passages that can be found and cited. One format a file."""
