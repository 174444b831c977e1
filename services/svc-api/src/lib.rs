//! Protocol buffers of all twelve services, generated code, descriptor set.
