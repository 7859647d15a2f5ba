"""What texts are like: features of documents, and of the models that wrote them."""
