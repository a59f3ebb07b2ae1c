"""How far a judge can be trusted: agreement with execution, probes with known verdicts, votes."""
