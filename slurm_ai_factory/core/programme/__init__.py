"""What the programme asks beside the share: terms, expertise, tariffs, small cells, persons. Pure."""
