"""Customer service: answers at once, cites what they rest on, knows when it does not know, hands over, learns."""
