"""The pure core: tables of cases, and properties that hold for every generated case."""
