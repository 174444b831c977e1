//! Plans, subscriptions, usage limits, dunning.
