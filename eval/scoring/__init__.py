"""Log-probabilities of texts and of given continuations, the way lm-evaluation-harness defines both."""
