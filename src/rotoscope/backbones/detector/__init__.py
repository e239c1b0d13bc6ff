"""A two-stage detector of instances in single pictures, Mask R-CNN, in parts that several systems share."""
