"""What fetches from live sources: each collector yields replies as they came. Nothing here plans, lands or ingests."""
