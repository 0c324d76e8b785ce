"""A formally verified tool-calling sandbox for AI agents."""
