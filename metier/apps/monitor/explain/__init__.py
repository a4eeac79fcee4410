"""Why an alert was raised: the evidence, its words, its picture, and the page that shows them."""
