"""Rain made to order on a user's photos and videos."""
