"""What a model costs: size, operations, energy, CO2e. Each figure is labelled measured, estimated or published."""
