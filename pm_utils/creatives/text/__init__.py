"""Headlines: a small GPT, an n-gram model beside it, and what they are worth."""
