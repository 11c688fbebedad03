"""What the measures say of the claims: tests against null models, across states and networks."""
