"""Commands and buttons from a chat: acknowledged, answered and approved under the name of the person who typed them."""
