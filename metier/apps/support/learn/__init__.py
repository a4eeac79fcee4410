"""How customer service gets better: what people say becomes candidates, and what holds becomes knowledge."""
