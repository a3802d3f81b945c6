// Energy as people read it: joules become watt-hours.
(() => {
  // The joules from which each unit is used, and the joules in one. A tenth of a mWh is still told in mWh: replies of
  // the small model lie about there, and are to be compared with one another by eye.
  const UNITS = [[3.6e12, 3.6e12, "GWh"], [3.6e9, 3.6e9, "MWh"], [3.6e6, 3.6e6, "kWh"], [3600, 3600, "Wh"], [0.36, 3.6, "mWh"], [0, 3.6e-3, "µWh"]];

  // 3600 -> [3600, "Wh"]: the joules in the unit that so many are told in, and its name.
  lab.energyUnit = (joules) => UNITS.find(([from]) => joules >= from).slice(1);

  lab.twoDigits = (value) => Number(value.toPrecision(2));  // more of them would promise too much

  // {joules: 3.3, low: 1.8, high: 6.1, kind} -> {value: 0.92, low: 0.5, high: 1.7, unit: "mWh", kind}, for lab.say
  lab.wattHours = ({ joules, low, high, kind }) => {
    const [size, unit] = lab.energyUnit(joules);
    const [value, least, most] = [joules, low, high].map((one) => lab.twoDigits(one / size));
    return { value, low: least, high: most, unit, kind: `@${kind}` };
  };
})();
