"""Many runs of one engine: what differs between them is data, and what does not is computed once."""
