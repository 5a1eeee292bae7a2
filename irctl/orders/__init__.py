"""One run from order to sealed record, and its undoing. Imports approvals, leases, incidents, running, record and catalog."""
