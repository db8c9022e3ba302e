// Dates as words. Days are local days written YYYY-MM-DD; they are never converted between zones.

const at = (day) => new Date(`${day}T12:00:00Z`);
const words = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const long = words({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
const month = words({ month: "long", year: "numeric" });

// "Saturday" and "3 August 2019": a narrow header has room for the second alone.
export function longDay(day) {
  const parts = Object.fromEntries(long.formatToParts(at(day)).map((part) => [part.type, part.value]));
  return [parts.weekday, `${parts.day} ${parts.month} ${parts.year}`];
}

// "August 2019"
export function longMonth(day) {
  return month.format(at(day));
}

// "1 photo", "1,204 photos"
export function photos(count) {
  return `${count.toLocaleString("en-GB")} ${count === 1 ? "photo" : "photos"}`;
}

// Days since 1970-01-01 as YYYY-MM-DD.
export function dayFromNumber(number) {
  return new Date(number * 86400000).toISOString().slice(0, 10);
}
