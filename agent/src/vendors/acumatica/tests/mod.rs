//! Tests of the Acumatica client.
