"""What lies on disk: finds run directories and reads them. Knows no database and no ML library."""
