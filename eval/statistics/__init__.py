"""From scores to statements: estimates with errors that match the design, and what arms differ by."""
