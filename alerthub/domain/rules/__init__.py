"""The rules: what each fires on, one file a rule. Values in, values out; no rule knows of another."""
