// Placeholder until the first test is here.
