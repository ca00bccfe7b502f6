"""What the commands that play do. It brings numpy and more: a command imports it when it runs, help never does."""
