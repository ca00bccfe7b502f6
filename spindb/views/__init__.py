"""What every face shows (command line, notebook, web page), as frozen data and as JSON; knows no terminal."""
