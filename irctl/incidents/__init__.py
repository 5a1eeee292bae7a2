"""What runs, notes and approvals belong to: one folder and journal for each incident. Imports record and catalog."""
