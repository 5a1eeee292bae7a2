"""Who may say yes to exactly which plan, and the signatures that prove it. Imports incidents, record and catalog."""
