"""The only package that names aioboto3: clients, adapters, error mapping, the publisher."""
