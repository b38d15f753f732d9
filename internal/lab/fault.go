package lab

// faketimeLibrary shifts the clock of a program it is loaded into.
const faketimeLibrary = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
