"""What slurmctld shows now: demand, authority of fairshare, health, clock, rights. Pure."""
