"""Everything that is to be seen: metrics, rules, dashboards, the status page, the terminal, who may look."""
