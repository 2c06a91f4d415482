"""evokd on a cart: what is installed where, as a plan that can be read before it is carried out."""
