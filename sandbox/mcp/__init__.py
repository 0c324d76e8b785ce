"""The gateway for the Model Context Protocol: an MCP server in front of an MCP server."""
