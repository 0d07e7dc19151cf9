"""Who a run was for: rules, registry of organisations, classification. Pure."""
