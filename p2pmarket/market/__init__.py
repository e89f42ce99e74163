"""The verbs of the market: what people, scripts and other daemons make this daemon do."""
