//! Workers as real processes with a real Redis and small networks of random weights: killed, stopped, cut off, invited from elsewhere, and
//! beside real servers and a real database.

mod deaths;
mod invited;
mod mounted;
mod outages;
mod servers;
mod stopped;
mod tools;
